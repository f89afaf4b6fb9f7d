"""optax' optimizers. optax itself is not imported.

Checked against optax 0.2.8 (`tests/explain`).
"""

from talweg.core import Rule, UserError
from talweg.explain.counterpart import (
    REQUIRED,
    Counterpart,
    Framework,
    Settings,
    maker,
    without_momentum,
)
from talweg.rules import (
    LAMB,
    AdaBelief,
    AdaDelta,
    AdaGrad,
    Adam,
    AdaMax,
    Lion,
    Momentum,
    NAdam,
    RAdam,
    RMSProp,
    Yogi,
)
from talweg.transforms import Transform, WeightDecay

AT_ONCE = 1e6
"""NAdam's psi with which the look-ahead's momentum is ``b1`` from the first step."""

NAMES = {
    "learning_rate": "lr",
    "b1": "beta1",
    "b2": "beta2",
    "decay": "rho",
    "initial_scale": "initial",
    "initial_accumulator_value": "initial",
    "eps_in_sqrt": "eps_inside",
}
REFUSED = {
    "mu_dtype": "the mean gradient has the parameters' precision",
    "accumulator_dtype": "the velocity has the parameters' precision",
    "mask": "give the parameters that are spared a group of their own",
    "weight_decay_mask": "give the parameters that are spared a group of their own",
    "bias_correction": "RMSProp corrects no bias",
}
BETAS = {"b1": 0.9, "b2": 0.999, "eps": 1e-8}
ROOT = "eps_root is eps under the root: one of the two must be 0."
CONTRIB = "optax.contrib is not covered: it was not compared with talweg's rules"
NESTEROV = "Nesterov's form of this rule is not there"
_counterpart = maker({"learning_rate": REQUIRED}, NAMES, REFUSED)


def _rule_of(optimizer: str, settings: Settings) -> Rule:
    known = OPTIMIZERS[optimizer]
    rule, values = known.rule, known.fields(settings)
    if isinstance(rule, Adam) and settings["nesterov"]:
        rule = NAdam(psi=AT_ONCE)
    if isinstance(rule, RMSProp):
        ahead = bool(settings["nesterov"] and settings["momentum"])
        values |= {"nesterov": ahead, "stored": ahead}
    values |= _epsilon(rule, settings)
    rule = without_momentum(rule.changed(**values))
    if settings.get("weight_decay") and "weight_decay" not in rule.specs:
        decoupled = not isinstance(rule, AdaDelta)
        return WeightDecay(rule, settings["weight_decay"], decoupled=decoupled)
    return rule


def _around(transform: Transform) -> Settings:
    return {"weight_decay": transform.weight_decay} if isinstance(transform, WeightDecay) else {}


def _epsilon(rule: Rule, settings: Settings) -> dict[str, object]:
    """Where ``eps_root`` asks for another ``eps`` than the rule's own."""
    root = settings.get("eps_root", 0.0)
    if isinstance(rule, AdaBelief):
        if root != settings["eps"]:
            raise UserError("eps and eps_root must be the same: the rule has one for both places")
        return {}
    if root == 0:
        return {}
    if settings["eps"] != 0 or not isinstance(rule, Adam):
        raise UserError(
            "eps and eps_root are both set, and the rule adds eps in one place"
            if isinstance(rule, Adam)
            else "the rule has no eps under the root, eps_root must be 0"
        )
    return {"eps": root, "eps_inside": True}


OPTIMIZERS: dict[str, Counterpart] = {
    "sgd": _counterpart(
        Momentum(form="accumulate", momentum=0.0),
        {"momentum": None, "nesterov": False, "accumulator_dtype": None},
        {
            "sgd": {},
            "momentum": {"momentum": 0.9},
            "nesterov": {"momentum": 0.9, "nesterov": True},
        },
        "Momentum is of the accumulate form, as in PyTorch. With nesterov the parameters are the "
        "look-ahead point.",
    ),
    "rmsprop": _counterpart(
        RMSProp(),
        {
            "decay": 0.9,
            "eps": 1e-8,
            "initial_scale": 0.0,
            "eps_in_sqrt": True,
            "centered": False,
            "momentum": None,
            "nesterov": False,
            "bias_correction": False,
        },
        {"rmsprop": {}, "rmsprop-nesterov": {"momentum": 0.9, "nesterov": True}},
        "eps is under the root unless eps_in_sqrt=False. Momentum is of the velocity form; with "
        "nesterov the parameters are the look-ahead point.",
    ),
    "adam": _counterpart(
        Adam(),
        {**BETAS, "eps_root": 0.0, "mu_dtype": None, "nesterov": False},
        {"adam": {}},
        ROOT,
    ),
    "adamw": _counterpart(
        Adam(),
        {
            **BETAS,
            "eps_root": 0.0,
            "mu_dtype": None,
            "weight_decay": 1e-4,
            "mask": None,
            "nesterov": False,
        },
        {"adamw": {}},
        ROOT,
    ),
    "nadam": _counterpart(
        Adam(),
        {**BETAS, "eps_root": 0.0, "mu_dtype": None, "nesterov": True},
        {"nadam": {}},
        "No psi: the look-ahead's momentum is b1 from the first step, which a huge psi gives.",
    ),
    "nadamw": _counterpart(
        Adam(),
        {
            **BETAS,
            "eps_root": 0.0,
            "mu_dtype": None,
            "weight_decay": 1e-4,
            "mask": None,
            "nesterov": True,
        },
        {},
    ),
    "adamax": _counterpart(AdaMax(), BETAS, {"adamax": {}}),
    "adamaxw": _counterpart(AdaMax(), {**BETAS, "weight_decay": 1e-4, "mask": None}, {}),
    "radam": _counterpart(
        RAdam(eps_hat=False),
        {**BETAS, "eps_root": 0.0, "threshold": 5.0, "nesterov": False},
        {"radam": {}},
        "eps is added after the bias of the mean square is corrected.",
        {"threshold": "RAdam's threshold is 5", "nesterov": NESTEROV},
    ),
    "adabelief": _counterpart(
        AdaBelief(),
        {"b1": 0.9, "b2": 0.999, "eps": 1e-16, "eps_root": 1e-16, "nesterov": False},
        {"adabelief": {}},
        "eps_root is the eps added to the average, eps the one beside the root: both must be the "
        "same.",
        {"nesterov": NESTEROV},
    ),
    "yogi": _counterpart(
        Yogi(initial_mean=1e-6),
        {"b1": 0.9, "b2": 0.999, "eps": 1e-3},
        {"yogi": {}},
        "The mean gradient starts at 1e-6, too.",
    ),
    "adagrad": _counterpart(
        AdaGrad(eps_inside=True),
        {"initial_accumulator_value": 0.1, "eps": 1e-7},
        {"adagrad": {}},
        "eps is under the root.",
    ),
    "adadelta": _counterpart(
        AdaDelta(),
        {"rho": 0.9, "eps": 1e-6, "weight_decay": 0.0, "weight_decay_mask": None},
        {"adadelta": {}},
        "Without a learning_rate optax climbs.",
    ),
    "lion": _counterpart(
        Lion(),
        {"b1": 0.9, "b2": 0.99, "mu_dtype": None, "weight_decay": 1e-3, "mask": None},
        {"lion": {}},
        "Decays weights unless told otherwise.",
    ),
    "lamb": _counterpart(
        LAMB(),
        {**BETAS, "eps": 1e-6, "eps_root": 0.0, "weight_decay": 0.0, "mask": None},
        {"lamb": {}},
    ),
}
MISSING = {
    "adafactor": "talweg has PyTorch's form, with other steps and another eps",
    "adan": "optax weighs the difference of gradients by 1 − b2, the paper and talweg by b2",
    "amsgrad": "optax takes the largest mean square after its bias is corrected, talweg before",
    "rprop": "optax makes each step one step late",
    **dict.fromkeys(
        (
            "fromage", "lars", "lbfgs", "noisy_sgd", "novograd", "optimistic_adam",
            "optimistic_adam_v2", "optimistic_gradient_descent", "polyak_sgd", "sign_sgd",
            "signum", "sm3",
        ),
        "",
    ),
    **dict.fromkeys(
        (
            "contrib.acprop", "contrib.ademamix", "contrib.adopt", "contrib.cocob",
            "contrib.dadapt_adamw", "contrib.dog", "contrib.dowg", "contrib.dpsgd",
            "contrib.galore", "contrib.madgrad", "contrib.mechanize", "contrib.momo",
            "contrib.momo_adam", "contrib.muon", "contrib.prodigy", "contrib.sam",
            "contrib.schedule_free", "contrib.schedule_free_adamw", "contrib.schedule_free_sgd",
            "contrib.simplified_ademamix", "contrib.sophia",
        ),
        CONTRIB,
    ),
}  # fmt: skip

OPTAX = Framework(
    "optax",
    "optax",
    "learning_rate",
    lambda: OPTIMIZERS,
    MISSING,
    _rule_of,
    frozenset(),
    "weight_decay is decoupled and around the rule, as WeightDecay, but for adadelta.",
    around=_around,
)

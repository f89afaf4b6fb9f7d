"""Which of torch's kernels attention runs on."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def plain_attention(in_bf16: bool = False) -> Generator[None]:
    """Keeps attention on kernels that can be batched, off the fused ones.

    Args:
        in_bf16: Whether these leave bfloat16 as it is: their own casts to float32 and back clash
            with those of `torch.autocast`.
    """
    cuda = torch.backends.cuda
    before = torch.backends.mha.get_fastpath_enabled()
    reduced = cuda.fp16_bf16_reduction_math_sdp_allowed()
    torch.backends.mha.set_fastpath_enabled(False)
    cuda.allow_fp16_bf16_reduction_math_sdp(in_bf16 or reduced)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
        cuda.allow_fp16_bf16_reduction_math_sdp(reduced)

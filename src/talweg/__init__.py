"""talweg."""

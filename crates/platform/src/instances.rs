//! The instance types this version knows: vCPUs, memory, GPUs and on-demand prices.

//! Models that run on MLX, sampled under token masks.

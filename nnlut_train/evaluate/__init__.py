"""What a model loses when its non-linear operations are computed by tables."""

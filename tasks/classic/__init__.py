"""Classic tasks as batches in plain torch: any device, any number of environments."""

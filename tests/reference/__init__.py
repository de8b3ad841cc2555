"""Plain PyTorch definitions of the operations, straight from the papers' formulas."""

"""Networks that teams bring: opened as they come, checked, and given a contract. Entry: `opening.open_depth_model`."""

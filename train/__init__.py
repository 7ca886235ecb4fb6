"""Networks, their data, losses and trainings, what judges them, and the weights that ship."""

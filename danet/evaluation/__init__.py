"""From weights to accuracies, robustness and attention."""

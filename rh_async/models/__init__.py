"""What can be asked for: request classes, the catalogue of models, and list prices."""

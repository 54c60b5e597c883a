"""What runs a model: scopes, names, variables, and the errors and checks of all rooms."""

"""HyOps blueprints and module specs read into effective inputs, each with its origin. Pure."""

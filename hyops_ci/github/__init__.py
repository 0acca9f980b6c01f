"""The control plane: what GitHub is told and asked."""

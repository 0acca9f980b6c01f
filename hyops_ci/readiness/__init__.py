"""What checks said of a service: kept on a branch beside its ledger, and read as far as a host of the config signed it."""

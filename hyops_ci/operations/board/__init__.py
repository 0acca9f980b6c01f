"""The board: what every service's ledger, readiness and evidence say, gathered for one page."""

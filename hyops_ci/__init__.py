"""Turn a disaster-recovery decision into one approved, evidenced recovery run on the right runner."""

__version__ = "0.1.0"

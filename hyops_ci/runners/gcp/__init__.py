"""Google Cloud: machines of Compute Engine, Cloud NAT, and the tunnel of Identity-Aware Proxy."""

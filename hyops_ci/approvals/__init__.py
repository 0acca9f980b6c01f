"""Who may approve what: quorum, four eyes, expiry, digest binding; the signed channel."""

"""Pictures and pages of results; no network is run here."""

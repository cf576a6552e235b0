"""The page: photos tried on a run, and located photos checked by a person. One server, on this machine alone."""

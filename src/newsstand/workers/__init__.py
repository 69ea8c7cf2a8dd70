"""Several workers on one database: leases and their renewal, polls, which worker owns which node, shared doubts."""

"""The synthesis engine: plan → units of whole shards → manifest → audit, for every generator."""

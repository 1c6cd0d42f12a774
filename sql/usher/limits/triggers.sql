SELECT usher._announce_changes('usher.rate_limit_policies', 'rate_limits_inval');

"""From declarations and facts to a plan. Pure."""

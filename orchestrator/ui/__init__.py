"""How plans and events are shown."""

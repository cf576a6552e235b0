"""The bricks of methods: map operators, views of a network, heads, losses."""

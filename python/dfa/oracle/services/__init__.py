"""Models behind an interface: asked over a network, within rates and for money, and for none of it twice."""

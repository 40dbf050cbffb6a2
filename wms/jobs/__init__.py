"""What runs without a person: the print queue, pushes to the shops, the nightly proof."""

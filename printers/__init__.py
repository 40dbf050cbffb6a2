"""Labels and printers: build label bytes, send them, and know what became of them."""

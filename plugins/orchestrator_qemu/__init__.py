"""The `qemu` backend: one builder; foreign platforms run under QEMU, where allowed."""

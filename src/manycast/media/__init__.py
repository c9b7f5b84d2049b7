"""Values and bitstream facts: tracks, frames, clocks, codec parameters. No I/O, no asyncio."""

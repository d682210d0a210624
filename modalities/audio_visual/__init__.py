"""Videos with sound, videos alone, and sound alone: aligned clips, spectrograms, pictures."""

from .adapter import AudioVisual

__all__ = ["AudioVisual"]

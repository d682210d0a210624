"""Vec2Face: from face-recognition vectors to aligned faces."""

"""Result stores, boards and comparative studies. Nothing here imports torch."""

"""The shared masked-modelling core. It knows no modality and no method."""

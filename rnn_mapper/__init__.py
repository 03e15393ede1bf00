"""From a trained recurrent network to images, cycles and results on a grid."""

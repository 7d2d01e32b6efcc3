"""Methods that attribute neurons of a layer, in the place of an output, to the inputs.

Start with `neuron_gradient`.
"""

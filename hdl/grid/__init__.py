"""The gateware. In: parameters of a grid. Out: Amaranth components, a module for each block of the diagram.

    top                     the grid
      registers             AXI4-Lite: commands, status, counters
      controller            issues phase tokens in the order of the schedule
      vector_input          AXI4-Stream to input vectors
      image_loader          AXI4-Stream to memory contents
      distributor           write stream to all rows
      site                  rows x cols of these, in chains
        pmu                 memory unit: weights, vectors
          sequencer         addresses of a phase
        pcu                 compute unit
          dot_product       multipliers, adder tree, accumulator
          gate_path         a row's sum to a gate's value
            requantiser
            activation
          unit_path         gates' values to a unit's state and output
            multiply_accumulate
            activation
      collector             results of all rows to vectors and outputs
      output_stream         outputs to AXI4-Stream

`memory` is the one module that stores words, `ports` the interfaces, `fixed_point` rounding and saturation, and
`sharing` makes each distinct component one Verilog module.
"""

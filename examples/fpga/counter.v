// Four LEDs that count: on a board with a clock of 12 MHz the first one changes every 90 ms.
module counter(input clk, output [3:0] leds);
  reg [23:0] count = 0;
  always @(posedge clk) count <= count + 1;
  assign leds = count[23:20];
endmodule

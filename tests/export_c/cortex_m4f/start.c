/* What a Cortex-M4F does before main: the floating-point unit on, then the C library's own start. */
#include <stdint.h>

extern uint32_t stack_top;
void _start(void);
void _init(void);
void _fini(void);

/* Nothing is to be made or unmade: the C library asks for both. */
void _init(void) {}
void _fini(void) {}

static void reset(void) {
  *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20;
  _start();
}

static void stop(void) {
  for (;;) {
  }
}

typedef union {
  void *stack;
  void (*handler)(void);
} vector;

extern const vector vectors[16];
__attribute__((section(".vectors"), used)) const vector vectors[16] = {
    {&stack_top}, {.handler = reset}, {.handler = stop}, {.handler = stop},
    {.handler = stop}, {.handler = stop}, {.handler = stop}};

// One kernel, compiled for the CPU with the same definitions as for a GPU, and called with the same arguments.
#include <lstm.cu>

#include <utility>

namespace {

constexpr std::size_t most_shared = 256 * 1024;

template <class... Types, std::size_t... places>
void call(void (*kernel)(Types...), void** arguments, std::index_sequence<places...>) {
    kernel(*static_cast<std::remove_reference_t<Types>*>(arguments[places])...);
}

template <class... Types>
void launch(void (*kernel)(Types...), unsigned count, unsigned order, void** arguments) {
    auto* bytes = reinterpret_cast<unsigned char*>(shared_memory);
    for (unsigned number = 0; number < count; ++number) {
        std::memset(bytes, 0xff, most_shared);  // NaN in every type
        run_block(number, QUADGATE_THREADS, order, [&] { call(kernel, arguments, std::index_sequence_for<Types...>()); });
        for (std::size_t place = QUADGATE_SHARED; place < most_shared; ++place) {
            if (bytes[place] != 0xff) {
                fail("a thread wrote past the shared memory that was asked for");
            }
        }
    }
}

}  // namespace

uint4 shared_memory[most_shared / sizeof(uint4)];

// Everything else is hidden: several such libraries are loaded at once, and each has its own block.
extern "C" __attribute__((visibility("default"))) void launch(unsigned count, unsigned order, void** arguments) {
#ifdef QUADGATE_FORWARD
    launch(lstm_forward, count, order, arguments);
#else
    launch(lstm_backward, count, order, arguments);
#endif
}

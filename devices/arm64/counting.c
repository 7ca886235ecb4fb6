/* A plugin of QEMU's user mode that counts the instructions an emulated program executes.

   Whenever the program asks for its parent's process id, the count so far is appended to the file that the plugin's
   argument out=FILE names, a line each: two of them around a piece of work tell what it took.

   Debian ships QEMU 7.2 without its plugin header; what is used of the interface (version 1) is declared here. */

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define EXPORTED __attribute__((visibility("default")))
#define GETPPID 173 /* on aarch64 */

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
enum inline_operation { ADD_U64 };

typedef void (*on_translation)(plugin_id, struct qemu_plugin_tb *);
typedef void (*on_call)(plugin_id, unsigned cpu, int64_t number, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                        uint64_t, uint64_t, uint64_t);

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, on_translation);
extern void qemu_plugin_register_vcpu_syscall_cb(plugin_id, on_call);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, enum inline_operation, void *, uint64_t);

EXPORTED int qemu_plugin_version = 1;

static uint64_t executed;
static FILE *out;

static void count_block(plugin_id id, struct qemu_plugin_tb *block)
{
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &executed, qemu_plugin_tb_n_insns(block));
}

static void mark(plugin_id id, unsigned cpu, int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                 uint64_t f, uint64_t g, uint64_t h)
{
    (void)id, (void)cpu, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number == GETPPID) {
        fprintf(out, "%" PRIu64 "\n", executed);
        fflush(out);
    }
}

EXPORTED int qemu_plugin_install(plugin_id id, const void *machine, int argc, char **argv)
{
    (void)machine;
    if (argc != 1 || strncmp(argv[0], "out=", 4) != 0 || (out = fopen(argv[0] + 4, "a")) == NULL)
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, count_block);
    qemu_plugin_register_vcpu_syscall_cb(id, mark);
    return 0;
}

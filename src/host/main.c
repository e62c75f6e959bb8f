/* normlab: dispatches to one file per command, src/host/cli/cmd_<command>.c. */
#include <stdio.h> // puts

int main(void) {
    puts("normlab");
    return 0;
}

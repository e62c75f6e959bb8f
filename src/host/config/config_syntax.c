/* What is wrong with a file that is no YAML, in words of a config's writer. */
#include <stdio.h>  // snprintf
#include <string.h> // strstr
#include <yaml.h>   // yaml_parser_t

#include "config_read.h"

/* What to look for, of libyaml's words; whether the mistake is where they begin (libyaml sees that
 * a colon or a quotation mark is missing only in some later line). */
static const char *syntax_hint(const yaml_parser_t *p, bool *at_start) {
    const char *context = p->context ? p->context : "", *problem = p->problem ? p->problem : "";
    const bool key = strstr(context, "simple key"), quote = strstr(context, "quoted scalar");
    *at_start = key || quote;
    if (key || strstr(problem, "mapping values"))
        return "a line is KEY: VALUE, a space after the colon, or a section's name and colon";
    if (quote) return "the quotation mark is not closed";
    if (strstr(problem, "tab") || strstr(problem, "cannot start any token"))
        return "indent with spaces, not tabs; quote a value that begins with @, % or `";
    return "are the keys of a section indented alike, and all brackets closed?";
}

int nl_yaml_fail(const struct yaml_parser_s *p, const char *path, nl_error *err) {
    char where[512];
    bool at_start;
    if (p->error == YAML_MEMORY_ERROR) nl_out_of_memory(path, 0);
    const char *hint = syntax_hint(p, &at_start);
    const yaml_mark_t *mark = at_start ? &p->context_mark : &p->problem_mark;
    snprintf(where, sizeof where, "%.490s:%zu", path, mark->line + 1);
    if (p->error == YAML_READER_ERROR) {
        nl_fail(err, NL_EUSAGE, path, "not a text file: %s at byte %zu",
                p->problem ? p->problem : "unreadable", p->problem_offset);
        return nl_hint(err, "a config is a text file, NAME.yaml");
    }
    nl_fail(err, NL_EUSAGE, where, "not valid YAML: %s%s%s", p->problem ? p->problem : "unreadable",
            p->context ? " " : "", p->context ? p->context : "");
    return nl_hint(err, "%s", hint);
}

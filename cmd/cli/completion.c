/* Shell completions from the option tables, so that they cannot differ from --help. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

/* Calls `each` for every option of the tool, its own first. */
typedef void each_option(const struct cli_tool *tool, const struct cli_option *option);

static void for_each(const struct cli_tool *tool, each_option *each)
{
    const struct cli_option *tables[] = {tool->options, cli_common_options()};
    for (size_t i = 0; i < 2; i++)
        for (const struct cli_option *option = tables[i]; option->name; option++)
            each(tool, option);
}

static bool is(const char *text, const char *word)
{
    return text && strcmp(text, word) == 0;
}

static void print_words(const char *choices)
{
    for (; *choices; choices++)
        putchar(*choices == '|' ? ' ' : *choices);
}

static bool is_path(const struct cli_option *option)
{
    return is(option->arg, "FILE") || is(option->arg, "LOCATION") || is(option->arg, "DIR");
}

static void bash_word(const struct cli_tool *tool, const struct cli_option *option)
{
    (void)tool;
    if (option->key < CLI_LONG)
        printf(" -%c", option->key);
    printf(" --%s", option->name);
}

/* mapfile and not $(…): names with spaces stay whole. */
static void bash_reply(const char *how, const char *choices)
{
    printf("mapfile -t COMPREPLY < <(compgen %s", how);
    if (choices) {
        printf("'");
        print_words(choices);
        printf("'");
    }
    printf(" -- \"$cur\")");
}

static void bash_argument(const struct cli_tool *tool, const struct cli_option *option)
{
    (void)tool;
    if (!option->arg)
        return;
    if (option->key < CLI_LONG)
        printf("    -%c|--%s) ", option->key, option->name);
    else
        printf("    --%s) ", option->name);
    if (strchr(option->arg, '|'))
        bash_reply("-W ", option->arg);
    else if (is_path(option))
        bash_reply(is(option->arg, "DIR") ? "-d" : "-f", NULL);
    printf("%sreturn ;;\n", is_path(option) || strchr(option->arg, '|') ? "; " : "");
}

/* --option=value arrives as three words: "=" is a word break. */
static void bash(const struct cli_tool *tool)
{
    char name[64];
    snprintf(name, sizeof name, "_%s", tool->name);
    for (char *at = name; *at; at++)
        *at = *at == '-' ? '_' : *at;
    printf("%s() {\n"
           "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
           "  COMPREPLY=()\n"
           "  if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
           "  case $prev in\n",
           name);
    for_each(tool, bash_argument);
    printf("  esac\n  case $cur in\n    -*) mapfile -t COMPREPLY < <(compgen -W '");
    for_each(tool, bash_word);
    printf(" ' -- \"$cur\") ;;\n");
    if (tool->commands) {
        printf("    *) if [[ $COMP_CWORD -eq 1 ]]; then ");
        bash_reply("-W ", tool->commands);
        printf("; else ");
        bash_reply("-f", NULL);
        printf("; fi ;;\n");
    } else if (is(tool->operands, "FILE")) {
        printf("    *) ");
        bash_reply("-f", NULL);
        printf(" ;;\n");
    }
    printf("  esac\n}\ncomplete -o filenames -F %s %s\n", name, tool->name);
}

static void zsh_text(const char *text)
{
    for (; *text; text++) {
        if (strchr("[]:\\", *text))
            putchar('\\');
        if (*text == '\'')
            printf("'\\'");
        putchar(*text);
    }
}

/* "+" and "=": the argument is the rest of the word or the next one, as getopt_long has it. */
static void zsh_option(const struct cli_tool *tool, const struct cli_option *option)
{
    (void)tool;
    const char *rest = option->arg ? "+" : "", *equals = option->arg ? "=" : "";
    bool repeat = option->flags & CLI_REPEAT;
    if (option->key < CLI_LONG && repeat)
        printf("    '*'");
    else if (option->key < CLI_LONG)
        printf("    '(-%c --%s)'", option->key, option->name);
    if (option->key < CLI_LONG)
        printf("{-%c%s,--%s%s}'[", option->key, rest, option->name, equals);
    else
        printf("    '%s--%s%s[", repeat ? "*" : "", option->name, equals);
    zsh_text(option->help);
    printf("]");
    if (option->arg && strchr(option->arg, '|')) {
        printf(":value:(");
        print_words(option->arg);
        printf(")");
    } else if (option->arg) {
        printf(":%s:%s", option->arg, is(option->arg, "DIR") ? "_files -/" : is_path(option) ? "_files" : " ");
    }
    printf("' \\\n");
}

static void zsh(const struct cli_tool *tool)
{
    printf("  (%s)\n  _arguments -s -S \\\n", tool->name);
    for_each(tool, zsh_option);
    if (tool->commands) {
        printf("    '1:command:(");
        print_words(tool->commands);
        printf(")' \\\n");
    }
    printf("    %s\n  ;;\n", is(tool->operands, "FILE") ? "'*:file:_files'" : "'*: : '");
}

static void fish_option(const struct cli_tool *tool, const struct cli_option *option)
{
    printf("complete -c %s", tool->name);
    if (option->key < CLI_LONG)
        printf(" -s %c", option->key);
    printf(" -l %s", option->name);
    if (option->arg && strchr(option->arg, '|')) {
        printf(" -x -a '");
        print_words(option->arg);
        printf("'");
    } else if (option->arg) {
        printf(is_path(option) ? " -r -F" : " -x");
    }
    printf(" -d '");
    for (const char *at = option->help; *at; at++)
        printf("%s%c", *at == '\'' || *at == '\\' ? "\\" : "", *at);
    printf("'\n");
}

static void fish(const struct cli_tool *tool)
{
    if (!is(tool->operands, "FILE"))
        printf("complete -c %s -f\n", tool->name);
    if (tool->commands) {
        printf("complete -c %s -n __fish_use_subcommand -f -a '", tool->name);
        print_words(tool->commands);
        printf("'\n");
    }
    for_each(tool, fish_option);
}

void cli_print_completion(const struct cli_tool *tool, const char *shell)
{
    if (is(shell, "bash"))
        bash(tool);
    else if (is(shell, "zsh"))
        zsh(tool);
    else
        fish(tool);
}

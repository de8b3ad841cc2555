#include "bindings/tree_rules.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "bindings/arrays.h"

namespace ipse::bindings {
namespace {

constexpr const char* name = "SearchForest";

// Takes settings out of a dict one by one; what is left over at the end was misspelt.
class Settings {
public:
    explicit Settings(const py::dict& settings) : left_(settings.attr("copy")()) {}

    template <class T>
    bool take(const char* key, T& value) {
        if (!left_.contains(key)) {
            return false;
        }
        const py::object given = left_.attr("pop")(key);
        try {
            value = given.cast<T>();
        } catch (const py::cast_error&) {
            wrong(key, "a number of its type", given);
        }
        return true;
    }

    void number(const char* key, float& value, double low, double high) {
        if (take(key, value) && !(value >= low && value <= high)) {
            wrong(key, "from " + text(low) + " to " + text(high), py::float_(value));
        }
    }

    void count(const char* key, std::int32_t& value, std::int32_t low, std::int32_t high) {
        if (take(key, value) && (value < low || value > high)) {
            wrong(key, "from " + std::to_string(low) + " to " + std::to_string(high),
                  py::int_(value));
        }
    }

    template <class Choice>
    void choice(const char* key, Choice& value,
                std::initializer_list<std::pair<const char*, Choice>> choices) {
        std::string given;
        if (!take(key, given)) {
            return;
        }
        std::string allowed;
        for (const auto& [word, meaning] : choices) {
            if (given == word) {
                value = meaning;
                return;
            }
            allowed += (allowed.empty() ? "'" : ", '") + std::string(word) + "'";
        }
        wrong(key, "one of " + allowed, py::str(given));
    }

    void finish() const {
        for (const auto& [key, value] : left_) {
            value_error(name, "there is no setting " + std::string(py::repr(key)));
        }
    }

private:
    static std::string text(double value) { return std::string(py::str(py::float_(value))); }

    [[noreturn]] static void wrong(const char* key, const std::string& allowed,
                                   const py::object& given) {
        value_error(name, std::string(key) + " must be " + allowed + ", got " +
                              std::string(py::repr(given)));
    }

    py::dict left_;
};

void take_choices(Settings& settings, tree::Rules& rules) {
    using tree::Backup, tree::Normalisation, tree::Selection, tree::Ties, tree::Unvisited;
    settings.choice(
        "selection", rules.selection,
        {{"puct", Selection::puct}, {"uct", Selection::uct}, {"gumbel", Selection::gumbel}});
    settings.choice("normalisation", rules.normalisation,
                    {{"none", Normalisation::none},
                     {"siblings", Normalisation::siblings},
                     {"tree", Normalisation::tree}});
    settings.choice("unvisited", rules.unvisited,
                    {{"lowest", Unvisited::lowest},
                     {"parent", Unvisited::parent},
                     {"walk_mean", Unvisited::walk_mean}});
    settings.choice("backup", rules.backup,
                    {{"mean", Backup::mean}, {"max", Backup::max}, {"weighted", Backup::weighted}});
    settings.choice("ties", rules.ties, {{"first", Ties::first}, {"random", Ties::random}});
}

}  // namespace

tree::Rules search_rules(const py::dict& given) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    constexpr double large = 1e30;
    constexpr std::int32_t most = std::numeric_limits<std::int32_t>::max();
    tree::Rules rules;
    Settings settings(given);
    take_choices(settings, rules);
    settings.number("c_init", rules.c_init, 0.0, large);
    settings.number("c_base", rules.c_base, 1.0, infinity);
    settings.count("visit_offset", rules.visit_offset, 0, 1);
    settings.number("smallest_range", rules.smallest_range, 0.0, large);
    settings.take("clamp", rules.clamp);
    settings.number("exploration", rules.exploration, 0.0, large);
    settings.number("log_factor", rules.log_factor, 0.0, large);
    settings.number("first_visit_bonus", rules.first_visit_bonus, 0.0, infinity);
    settings.count("num_considered", rules.num_considered, 1, 1 << 12);
    settings.count("num_simulations", rules.num_simulations, 1, 1 << 16);
    settings.number("c_visit", rules.c_visit, 0.0, large);
    settings.number("c_scale", rules.c_scale, 0.0, large);
    settings.number("gumbel_scale", rules.gumbel_scale, 0.0, large);
    settings.take("rescale_values", rules.rescale_values);
    settings.take("mixed_value", rules.mixed_value);
    settings.number("dirichlet_alpha", rules.dirichlet_alpha, 1e-3, large);
    settings.number("dirichlet_fraction", rules.dirichlet_fraction, 0.0, 1.0);
    settings.number("virtual_loss", rules.virtual_loss, 0.0, large);
    settings.number("rollout_weight", rules.rollout_weight, 0.0, 1.0);
    settings.count("root_visits", rules.root_visits, 0, 1);
    settings.take("root_value", rules.root_value);
    settings.number("discount", rules.discount, -1.0, 1.0);
    settings.count("max_depth", rules.max_depth, 1, most);
    settings.count("max_nodes", rules.max_nodes, 1, most - 1);
    settings.take("seed", rules.seed);
    settings.finish();
    return rules;
}

}  // namespace ipse::bindings

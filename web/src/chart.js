// Lines over time or epochs, in the theme's colours.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Seconds that an axis of time shows at the least. */
const MINUTE = 60;
const STEPS = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400];
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const clock = (seconds) => (seconds === null || seconds === undefined ? "–" : CLOCK.format(seconds * 1000));

/** `series`: label, color (a variable of the sheet), fill, dash. `x`: "time" or a label. */
export function chart(box, { series, height = 220, x = "time", value = (v) => v, range }) {
  let plot = null;
  let data = null;
  const make = () => {
    plot?.destroy();
    const axis = { stroke: color("--dim"), grid: { stroke: color("--rule"), width: 1 }, ticks: { stroke: color("--rule"), width: 1 }, font: "12px system-ui, sans-serif" };
    const fits = (number) => (Math.abs(number) >= 10000 ? `${number / 1000}k` : `${number}`);
    const isTime = x === "time";
    const across = isTime
      ? { incrs: STEPS, space: 80, values: (_, ticks, at, space, step) => ticks.map((tick) => (step < MINUTE ? clock(tick) : clock(tick).slice(0, 5))) }
      : { space: 60, values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? tick : "")) };
    plot = new uPlot({
      width: Math.max(200, box.clientWidth),
      height,
      cursor: { y: false, points: { size: 7 } },
      legend: { live: true },
      scales: { x: isTime ? { time: true, range: (_, min, max) => [Math.min(min, max - MINUTE), max] } : { time: false }, y: range ? { range } : {} },
      axes: [{ ...axis, ...across }, { ...axis, size: 56, values: (_, ticks) => ticks.map(fits) }],
      series: [
        isTime ? { label: "at", value: (_, seconds) => clock(seconds) } : { label: x, value: (_, at) => at ?? "–" },
        ...series.slice(0, data.length - 1).map((one) => ({
          label: one.label,
          stroke: color(one.color),
          width: 2,
          dash: one.dash,
          fill: one.fill ? `${color(one.color)}22` : undefined,
          points: { show: (u) => u.data[0].length < 40, size: 5 },
          spanGaps: true,
          value: (_, v) => (v === null || v === undefined ? "–" : value(v)),
        })),
      ],
    }, data, box);
  };
  const onTheme = () => data && make();
  const size = new ResizeObserver(() => plot?.setSize({ width: Math.max(200, box.clientWidth), height }));
  size.observe(box);
  window.addEventListener("theme", onTheme);
  return {
    data(next) {
      data = next;
      if (plot && plot.series.length === data.length) plot.setData(data);
      else make();
    },
    end() {
      size.disconnect();
      window.removeEventListener("theme", onTheme);
      plot?.destroy();
    },
  };
}

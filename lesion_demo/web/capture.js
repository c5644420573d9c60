settings => {
  // While the camera is live, says under it what is wrong with what it sees. Frames are looked at here and go nowhere.
  const {limits, lit, lesion, words} = settings;
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d', {willReadFrequently: true});

  // RGBA of `box` in `source`, scaled so that its shorter side has `side` pixels.
  const sample = (source, box, side) => {
    const scale = side / Math.min(box.width, box.height);
    const width = canvas.width = Math.max(1, Math.round(box.width * scale));
    const height = canvas.height = Math.max(1, Math.round(box.height * scale));
    context.imageSmoothingQuality = 'high';  // resizing the canvas forgets it
    context.drawImage(source, box.left, box.top, box.width, box.height, 0, 0, width, height);
    const {data} = context.getImageData(0, 0, width, height);
    const grey = new Float32Array(width * height);
    for (let i = 0; i < grey.length; i++) grey[i] = 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2];
    return {data, grey, width, height};
  };

  const centred = (box, side) => ({
    left: box.left + (box.width - side) / 2, top: box.top + (box.height - side) / 2, width: side, height: side,
  });

  const percentiles = (values, ...shares) => {
    const sorted = values.slice().sort();  // typed arrays sort by number
    return shares.map(share => sorted[Math.round(share * (sorted.length - 1))]);
  };
  const percentile = (values, share) => percentiles(values, share)[0];

  // The whole picture or, where at least two corners are dark as in a dermatoscope, the square inside its round field.
  const field = (source, width, height) => {
    const whole = {left: 0, top: 0, width, height};
    const small = sample(source, whole, lesion.side);
    const threshold = Math.max(lit.floor, lit.share * percentile(small.grey, 0.95));
    const n = Math.max(2, Math.round(lit.corner * lesion.side));
    const dark = [[0, 0], [small.width - n, 0], [0, small.height - n], [small.width - n, small.height - n]].filter(
      ([left, top]) => {
        let count = 0;
        for (let y = top; y < top + n; y++)
          for (let x = left; x < left + n; x++) count += small.grey[y * small.width + x] > threshold;
        return count < n * n / 2;
      });
    return dark.length < 2 ? whole : centred(whole, Math.min(width, height) * Math.SQRT1_2);
  };

  // As in images/quality.py: the 99th percentile of |Laplacian| after a binomial filter, over the 90th of luminance.
  const sharpness = ({grey, width, height}) => {
    const filtered = (values, rows, columns) => {  // across, and turned: [rows, columns] → [columns − 4, rows]
      const result = new Float32Array((columns - 4) * rows);
      for (let y = 0; y < rows; y++)
        for (let x = 0, i = y * columns; x < columns - 4; x++, i++)
          result[x * rows + y] =
            (values[i] + values[i + 4] + 4 * (values[i + 1] + values[i + 3]) + 6 * values[i + 2]) / 16;
      return result;
    };
    const smooth = filtered(filtered(grey, height, width), width - 4, height);  // [height − 4, width − 4]
    const across = width - 4;
    const detail = new Float32Array((width - 6) * (height - 6));
    for (let y = 1, k = 0; y < height - 5; y++)
      for (let x = 1; x < across - 1; x++, k++) {
        const i = y * across + x;
        detail[k] = Math.abs(
          smooth[i - across] + smooth[i + across] + smooth[i - 1] + smooth[i + 1] - 4 * smooth[i]);
      }
    return percentile(detail, 0.99) / (percentile(grey, 0.9) + 5);
  };

  // As in images/quality.py: by how much contrast falls short of its limit, at least 1; a flat picture is not blurred.
  const flatness = ({data, grey}, brightness) => {
    const spreads = [0, 1, 2].map(channel => {
      const [low, high] = percentiles(grey.map((_, i) => data[4 * i + channel]), 0.005, 0.995);
      return high - low;
    });
    const gain = brightness < limits.brightness ? limits.usual / Math.max(1, brightness) : 1;
    return Math.max(1, limits.contrast / Math.max(1, Math.min(255, gain * Math.max(...spreads))));
  };

  const glare = ({data, grey}) => {
    let white = 0;
    for (let i = 0; i < grey.length; i++)
      white += Math.min(data[4 * i], data[4 * i + 1], data[4 * i + 2]) >= limits.white;
    return white / grey.length;
  };

  // Share of the picture that is not as it was: an edge that moves changes what it passes over.
  const movement = (square, before) => {
    if (!before || before.grey.length !== square.grey.length) return 0;
    const least = limits.change * (percentile(square.grey, 0.9) + 5);
    return square.grey.filter((value, i) => Math.abs(value - before.grey[i]) > least).length / square.grey.length;
  };

  // Optical density over that of the frame, 0 to lesion.densest.
  const densities = ({data, grey, width}) => {
    const framed = grey.map((_, i) => Math.max(
      Math.abs(2 * (i % width + 0.5) / width - 1), Math.abs(2 * (Math.floor(i / width) + 0.5) / width - 1),
    ) > 1 - lesion.frame);
    const result = new Float32Array(grey.length);
    for (let channel = 0; channel < 3; channel++) {
      const values = grey.map((_, i) => data[4 * i + channel] + 8);
      const skin = percentile(values.filter((_, i) => framed[i]), 0.65);
      values.forEach((value, i) => { result[i] += Math.log(skin / value) / 3; });
    }
    return result.map(value => Math.min(lesion.densest, Math.max(0, value)));
  };

  // Otsu's threshold, the middle weighing more.
  const threshold = (values, weights) => {
    const bins = new Float64Array(64);
    const step = Math.max(...values) / bins.length || 1;
    values.forEach((value, i) => { bins[Math.min(bins.length - 1, Math.floor(value / step))] += weights[i]; });
    const total = bins.reduce((sum, count) => sum + count, 0);
    const whole = bins.reduce((sum, count, i) => sum + count * i, 0);
    let [below, sum, best, at] = [0, 0, -1, 0];
    bins.forEach((count, i) => {
      below += count;
      sum += count * i;
      const between = (sum * total - whole * below) ** 2 / Math.max(below * (total - below), 1e-9);
      if (i < bins.length - 1 && between > best) [best, at] = [between, i + 1];
    });
    return at * step;
  };

  // Numbers the connected parts of what is above `least`: 1, 2, … for each pixel, 0 for the others.
  const label = (values, side, least) => {
    const labels = new Uint16Array(values.length);
    const open = [];
    let count = 0;
    const enter = i => { if (!labels[i] && values[i] > least) { labels[i] = count; open.push(i); } };
    for (let start = 0; start < values.length; start++) {
      if (labels[start] || values[start] <= least) continue;
      count++;
      enter(start);
      while (open.length) {
        const i = open.pop();
        if (i % side > 0) enter(i - 1);
        if (i % side < side - 1) enter(i + 1);
        if (i >= side) enter(i - side);
        if (i < side * (side - 1)) enter(i + side);
      }
    }
    return {labels, count};
  };

  // Share of the square that is a lesion about its middle, as images/lesion.py finds it but simpler; 0 where none is.
  const lesionShare = square => {
    const side = square.width;
    const values = densities(square);
    const weights = values.map((_, i) => Math.exp(-(
      (2 * (i % side + 0.5) / side - 1) ** 2 + (2 * (Math.floor(i / side) + 0.5) / side - 1) ** 2
    ) / lesion.middle ** 2));
    const {labels, count} = label(values, side, threshold(values, weights));
    const heavy = new Float64Array(count + 1);
    labels.forEach((part, i) => { if (part) heavy[part] += weights[i] * values[i]; });
    const least = lesion.companion * Math.max(...heavy);
    const inside = labels.map(part => part && heavy[part] >= least);
    const edge = inside.filter((part, i) =>
      part && (i % side === 0 || i % side === side - 1 || i < side || i >= side * (side - 1))).length;
    const parts = [1, 0].map(part => values.filter((_, i) => inside[i] === part));
    if (!parts[0].length || !parts[1].length || edge / (4 * side) > lesion.outwards) return 0;
    const means = parts.map(part => part.reduce((sum, value) => sum + value, 0) / part.length);
    const spread = parts.reduce(
      (sum, part, k) => sum + part.reduce((inner, value) => inner + (value - means[k]) ** 2, 0), 0) / values.length;
    return means[0] - means[1] >= lesion.separation * Math.sqrt(spread) ? parts[0].length / values.length : 0;
  };

  const measure = (source, width, height, before) => {
    const box = field(source, width, height);
    const whole = sample(source, box, limits.side);
    const square = sample(source, centred(box, Math.min(box.width, box.height)), lesion.side);
    const brightness = whole.grey.reduce((sum, value) => sum + value, 0) / whole.grey.length;
    return {
      brightness, glare: glare(whole), sharpness: flatness(whole, brightness) * sharpness(whole),
      movement: movement(square, before), lesion: lesionShare(square), square,
    };
  };

  // The most important hint first. One that is shown stays until the value is past its limit by a little.
  const hintFor = (found, shown) => {
    const excess = {
      dark: limits.brightness / found.brightness,
      bright: found.brightness / limits.overexposure,
      glare: found.glare / limits.glare,
      moving: found.movement / limits.movement,
      blurred: limits.sharpness / found.sharpness,
      absent: found.lesion > 0 ? 0 : Infinity,
      small: limits.lesion / found.lesion,
    };
    return Object.keys(excess).find(name => excess[name] > (name === shown ? limits.release : 1)) ?? 'good';
  };

  // A hint must hold for a few samples before it is shown, so that the words do not flicker, or talk without end.
  const follow = () => {
    let [before, shown, wanted, held] = [null, '', '', 0];
    const show = hint => {
      const help = document.getElementById('capture-help');
      if (!help) return;
      shown = hint;
      help.dataset.hint = hint;
      help.textContent = words[hint] ?? '';
    };
    return () => {
      const video = document.querySelector('#picture video');
      const live = video?.srcObject?.active && !video.paused && video.videoWidth > 0;
      if (!live || document.hidden) {
        [before, wanted, held] = [null, '', 0];
        if (shown) show('');
        return;
      }
      const found = measure(video, video.videoWidth, video.videoHeight, before);
      before = found.square;
      const hint = hintFor(found, shown);
      held = hint === wanted ? held + 1 : 1;
      wanted = hint;
      if (held >= settings.hold && hint !== shown) show(hint);
    };
  };

  const timer = setInterval(follow(), settings.every);
  return {measure, hintFor, stop: () => clearInterval(timer)};
}
